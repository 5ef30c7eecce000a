"""The Python client of the service: uniform calls, uniform errors.

    client = SkinClient("http://127.0.0.1:8000")
    answer = client.predict("lesion.jpg", top_k=3)
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from skin_platform.core.answers import top_k_predictions

__all__ = ["ApiError", "SkinClient", "top_k_predictions"]


class ApiError(RuntimeError):
    """The service refused or could not be reached: ``status`` (0: not reached), ``code``, ``message``, ``request_id``."""

    def __init__(self, status: int, code: str, message: str, request_id: str | None = None) -> None:
        super().__init__(f"{code} ({status}): {message}" if status else f"{code}: {message}")
        self.status, self.code, self.message, self.request_id = status, code, message, request_id


class SkinClient:
    """Speaks to one service. Every method raises ``ApiError`` where the answer is not the one asked for."""

    def __init__(self, base_url: str = "http://127.0.0.1:8000", api_key: str = "", timeout: float = 30.0) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def predict(self, image: bytes | str | Path, top_k: int = 3) -> dict[str, Any]:
        """The answer of ``/predict`` for encoded bytes or a file."""
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        return self._ask("POST", "/predict", params={"top_k": top_k}, files={"image": ("image", data)})

    def health(self) -> dict[str, Any]:
        """The answer of ``/health``."""
        return self._ask("GET", "/health")

    def model_status(self) -> dict[str, Any]:
        """The answer of ``/model-status``."""
        return self._ask("GET", "/model-status")

    def is_ready(self) -> bool:
        """True when the golden images were answered as recorded."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiError(0, "unreachable", f"{self._http.base_url} does not answer: {error}") from None
        body = _json(response)
        if response.is_success:
            return body
        raise ApiError(response.status_code, str(body.get("code", "error")), str(body.get("message", response.text[:200])),
                       body.get("request_id"))


def _json(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of the answer; an empty one where a proxy or a crash answered with something else."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
