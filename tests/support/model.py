"""State machines beside a plain model."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

__all__ = ["must_do_what_the_model_says"]


def must_do_what_the_model_says(
    machine: type[RuleBasedStateMachine], *, histories: int, steps: int
) -> None:
    """Play so many histories of at most so many steps; the machine looks after each step."""
    how = settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=how)
