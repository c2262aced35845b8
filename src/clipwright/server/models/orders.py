"""What calls ask of a model: orders, each of items that are answered together, and the turns that they take."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

OrderKind = Literal["picture", "text", "render"]


@dataclass(eq=False)
class Order:
    """One call's items, and what has become of them."""

    kind: OrderKind
    items: Sequence[Any]
    """Encoded pictures, texts, or one (path, side)."""
    answered: asyncio.Future[list[Any]]
    """All results, in the items' order, or a RejectionError; cancelled with the call."""
    taken: int = 0
    """How many items a worker was given; they go in order."""
    space: str = ""
    """Names model and variant of the worker that was given them."""
    _results: list[Any] = field(init=False)
    _missing: int = field(init=False)

    def __post_init__(self) -> None:
        self._results = [None] * len(self.items)
        self._missing = len(self.items)

    @property
    def wanted(self) -> bool:
        return not self.answered.done()

    def settle(self, number: int, result: Any) -> None:
        """Notes the result of one item."""
        self._results[number] = result
        self._missing -= 1
        if self._missing == 0 and self.wanted:
            self.answered.set_result(self._results)

    def refuse(self, error: Exception) -> None:
        """Fails as a whole."""
        if self.wanted:
            self.answered.set_exception(error)


class Turns:
    """Orders that wait. Each gives an item in turn, so that a large one does not hold up small ones."""

    def __init__(self) -> None:
        self._orders: deque[Order] = deque()
        self.items = 0
        """Of all orders, that no worker was given yet."""

    def add(self, order: Order) -> None:
        self._orders.append(order)
        self.items += _untaken(order)

    def next(self) -> tuple[Order, int] | None:
        """The next item, as its order and its place there."""
        while self._orders:
            order = self._orders.popleft()
            if not order.wanted:
                self.items -= _untaken(order)
                continue
            number = order.taken
            order.taken += 1
            self.items -= 1
            if _untaken(order):
                self._orders.append(order)
            return order, number
        return None

    def remove(self, order: Order) -> None:
        if order in self._orders:
            self._orders.remove(order)
            self.items -= _untaken(order)

    def take_all(self) -> list[Order]:
        """All orders, which are here no longer."""
        orders = list(self._orders)
        self._orders.clear()
        self.items = 0
        return orders


def _untaken(order: Order) -> int:
    return len(order.items) - order.taken
