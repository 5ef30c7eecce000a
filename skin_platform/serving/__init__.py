"""What answers: the bundle, the service and the routes mounted on it; needs neither torch nor Dagster."""
