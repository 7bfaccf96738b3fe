"""Bearings over the wire: what is known of the inside of a component that is a rolling bearing."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from api.schemas import Asked, Told
from detectors.bearings import BearingGeometry, FaultOrders

Order = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False, description="Multiple of the shaft's speed")]
Length = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False, description="Millimetres")]
Speed = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False, description="Turns a minute")]
Metric = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f]+$", max_length=128)]


Designation = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=64), Field(description="The maker's name for it")
]


class GeometryBody(Asked):
    """The inside of a bearing whose outer ring stands still."""

    elements: Annotated[int, Field(ge=3, le=200, description="Rolling elements in one row")]
    ball_diameter_mm: Length
    pitch_diameter_mm: Length
    contact_angle_deg: Annotated[float, Field(ge=0, lt=90, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        # Raises ValueError, which becomes a refusal of the request.
        self.as_geometry().orders()
        return self

    def as_geometry(self) -> BearingGeometry:
        """Return it as the detectors know it."""
        return BearingGeometry(self.elements, self.ball_diameter_mm, self.pitch_diameter_mm, self.contact_angle_deg)


class OrdersBody(Asked):
    """The fault frequencies as the bearing's maker states them."""

    bpfo: Order
    bpfi: Order
    bsf: Order
    ftf: Order

    def as_orders(self) -> FaultOrders:
        """Return them as the detectors know them."""
        return FaultOrders(self.bpfo, self.bpfi, self.bsf, self.ftf)


class BearingBody(Asked):
    """A bearing: either its geometry or its orders. ``metric`` is that of the waveforms in which it is heard.

    ``speed_rpm`` is the shaft's usual speed, taken for blocks that do not tell theirs.
    """

    metric: Metric
    speed_rpm: Speed | None = None
    geometry: GeometryBody | None = None
    orders: OrdersBody | None = None
    designation: Designation | None = None

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        if (self.geometry is None) == (self.orders is None):
            raise ValueError("expected either geometry or orders, got both or neither")
        return self


class BearingShape(Told):
    """A bearing with its fault orders; ``geometry`` is null where only the orders were given."""

    component: str
    metric: str
    orders: FaultOrders
    speed_rpm: float | None
    geometry: BearingGeometry | None
    designation: str | None


class Bearings(Told):
    """All bearings of an asset that are known from inside."""

    items: list[BearingShape]
