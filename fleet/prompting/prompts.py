"""Prompts: Jinja2 templates, rendered strictly and once. The only door to jinja2.

A prompt is static: it holds nothing of one user or message, so that a provider may cache it and its hash names a
version. What changes from message to message is in the warmup transcript.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import jinja2

from fleet.agents.catalog import Catalog, Definition
from fleet.errors import ConfigError

__all__ = ["default_prompt", "render_prompt"]


@cache
def default_prompt(name: str) -> str:
    """The prompt that ships for applications without one of their own: `dispatcher` or `worker`."""
    return files("fleet.prompting").joinpath(f"default_{name}.md").read_text("utf-8")


@cache
def _environment() -> jinja2.Environment:
    # A prompt is Markdown for a model, not HTML: escaping would change what it says.
    return jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
        trim_blocks=True,
    )


def render_prompt(definition: Definition, catalog: Catalog) -> str:
    """The role's system prompt.

    Variables: `app` (its name), `role`, `description`, `tools` (name, description, signature, effect of each),
    `agents` (role and description of each).

    Raises: ConfigError naming the file and line, for a syntax error or an undefined variable.
    """
    source = definition.prompt.source
    tools = definition.agent.tools if definition.agent else ()
    try:
        return (
            _environment()
            .from_string(definition.prompt.body)
            .render(
                app=catalog.app.name,
                role=definition.role,
                description=definition.description,
                tools=[
                    {"name": t.name, "description": t.description, "signature": t.signature, "effect": t.effect}
                    for t in tools
                ],
                agents=[{"role": d.role, "description": d.description} for d in catalog.roles.values()],
            )
        )
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"prompt {source} of {definition.role}, line {error.lineno}: {error.message}") from None
    except jinja2.UndefinedError as error:
        raise ConfigError(f"prompt {source} of {definition.role}: {error.message}") from None
    except (jinja2.TemplateError, TypeError) as error:
        raise ConfigError(f"prompt {source} of {definition.role}: {error}") from None
