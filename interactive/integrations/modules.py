"""Operations on named modules: reset their parameters, freeze them, thaw them."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import Tensor, nn
from torch.optim import Optimizer

from interactive.commands import ModuleOperation
from interactive.integrations.generators import keyed_generators
from interactive.integrations.names import refuse_name
from interactive.outcome import Reason, Rejected
from interactive.trainer import Plan

OPERATIONS = ("reset_parameters", "freeze", "unfreeze")


class ModuleOperations:
    """Plans operations on the modules of a model.

    Args:
        model: whose modules these are.
        optimizer: what it knows of parameters that are drawn anew is dropped.
        seed: what is drawn follows from it, the module and the step alone.
        forget: told of the parameters that were drawn anew, by name.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        seed: int,
        forget: Callable[[tuple[str, ...]], None] = lambda names: None,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._seed = seed
        self._forget = forget

    def describe(self) -> dict[str, list[str]]:
        """Return each operation with the modules that it can be carried out on."""
        modules = self._modules()
        able = [name for name, module in modules.items() if _can_reset(module)]
        trained = [name for name, module in modules.items() if self._trained(module)]
        return {"reset_parameters": able, "freeze": trained, "unfreeze": trained}

    def frozen(self) -> list[str]:
        """Return the names of the parameters that are not trained."""
        return [name for name, p in self._model.named_parameters() if not p.requires_grad]

    def freeze_exactly(self, frozen: list[str]) -> None:
        """Freeze these parameters and thaw all others.

        Raises:
            ValueError: there is no such parameter; nothing was changed.
        """
        parameters = dict(self._model.named_parameters())
        for name in frozen:
            if name not in parameters:
                raise ValueError(f"no parameter {name!r} to freeze")
        for name, parameter in parameters.items():
            _set_trained(parameter, name not in frozen)

    def plan(self, command: ModuleOperation, step: int) -> Plan | Rejected:
        """Plan an operation before the update after ``step``."""
        operation, name = command.operation, command.module
        if operation not in OPERATIONS:
            return refuse_name(Reason.UNKNOWN_OPERATION, "operation", operation, OPERATIONS)
        modules = self._modules()
        if name not in modules:
            return refuse_name(Reason.UNKNOWN_MODULE, "module", name, modules)
        module = modules[name]
        if refused := self._refuse(operation, name, module):
            return refused
        if operation == "reset_parameters":
            apply = self._resetting(name, module, step)
        else:
            apply = self._training(module, operation == "unfreeze")
        parameters = sum(1 for _ in module.parameters())
        frozen = sum(not p.requires_grad for p in module.parameters())
        after = {"freeze": parameters, "unfreeze": 0}.get(operation, frozen)
        asked = {"operation": operation, "module": name}
        return Plan(
            old={"frozen": frozen},
            requested=asked,
            effective={**asked, "parameters": parameters, "frozen": after},
            apply=apply,
        )

    def _modules(self) -> dict[str, nn.Module]:
        return {name: module for name, module in self._model.named_modules() if name}

    def _trained(self, module: nn.Module) -> list[nn.Parameter]:
        held = {id(p) for group in self._optimizer.param_groups for p in group["params"]}
        return [p for p in module.parameters() if id(p) in held]

    def _refuse(self, operation: str, name: str, module: nn.Module) -> Rejected | None:
        if operation == "reset_parameters":
            if _can_reset(module):
                return None
            able = [one for one, other in self._modules().items() if _can_reset(other)]
            inside = [one for one in able if one.startswith(f"{name}.")] or able
            hint = f"{name} has no reset_parameters; these have: {', '.join(inside[:8]) or 'none'}"
            return Rejected(Reason.UNSUPPORTED, hint)
        mine = self._trained(module)
        if not mine:
            return Rejected(Reason.UNSUPPORTED, f"the optimizer has no parameter of {name}")
        if operation == "freeze":
            own = {id(p) for p in module.parameters()}
            rest = [p for p in self._trained(self._model) if id(p) not in own]
            if not any(p.requires_grad for p in rest):
                return Rejected(Reason.UNSUPPORTED, f"beside {name} nothing would be trained")
        return None

    def _resetting(self, name: str, module: nn.Module, step: int) -> Callable[[], None]:
        def apply() -> None:
            before = copy.deepcopy(module.state_dict())
            try:
                with keyed_generators(self._seed, "reset_parameters", name, step):
                    module.reset_parameters()  # type: ignore[operator]
            except BaseException:
                module.load_state_dict(before)
                raise
            for parameter in module.parameters():
                self._optimizer.state.pop(parameter, None)
                parameter.grad = None
            self._forget(tuple(f"{name}.{one}" for one, _ in module.named_parameters()))

        return apply

    def _training(self, module: nn.Module, trained: bool) -> Callable[[], None]:
        def apply() -> None:
            for parameter in module.parameters():
                _set_trained(parameter, trained)

        return apply


def _can_reset(module: nn.Module) -> bool:
    return callable(getattr(module, "reset_parameters", None))


def _set_trained(parameter: Tensor, trained: bool) -> None:
    parameter.requires_grad_(trained)
    if not trained:
        # An optimizer goes on moving a parameter that keeps a gradient, though it be zero.
        parameter.grad = None
