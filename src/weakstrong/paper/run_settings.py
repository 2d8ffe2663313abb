"""Settings that every experiment has."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Extra = Literal["none", "nn", "molecules"]


class Settings(BaseModel):
    """Settings that every experiment has; unknown keys are errors.

    Parameters
    ----------
    seeds : int
        Number of seeds, each with its own world.
    seed : int
        The first seed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    presets: ClassVar[dict[str, dict[str, Any]]] = {}  # settings by the name of a preset
    follows: ClassVar[dict[str, str]] = {}  # settings whose defaults depend on another one

    seeds: int = Field(default=6, ge=1, le=10_000, strict=True)
    seed: int = Field(default=0, ge=0, lt=2**32, strict=True)

    def all_seeds(self) -> range:
        """Return the seeds."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def extra(self) -> Extra:
        """Optional dependencies that the experiment needs."""
        return "none"

    def of_one_seed(self) -> dict[str, Any]:
        """Return the settings that the rows of one seed depend on."""
        return self.model_dump(exclude={"seeds", "seed"})
