"""The ECR repositories: which images they have, logging in, and pushing the missing images."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from engine.deployment.images import FUNCTIONS, Builder, ImageError, Recipe


def repositories(outputs: Mapping[str, str]) -> dict[str, str]:
    """Return the repository of each function, from the outputs of `deploy/repositories.yaml`."""
    return {function: outputs[f"{function.capitalize()}RepositoryUri"] for function in FUNCTIONS}


async def pushed(ecr: Any, repository: str, tag: str) -> str | None:
    """Return the digest of an image if its repository has it, else None."""
    name = repository.partition("/")[2]
    try:
        found = await ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])
    except ClientError as error:
        if error.response["Error"].get("Code") in ("ImageNotFoundException", "RepositoryNotFoundException"):
            return None
        raise
    digests: list[str] = [image["imageDigest"] for image in found["imageDetails"]]
    return digests[0] if digests else None


async def found(ecr: Any, targets: Mapping[str, str], recipe: Recipe) -> dict[str, str]:
    """Return the URIs, by digest, of the images that their repositories have."""
    digests = {function: await pushed(ecr, target, recipe.tag(function)) for function, target in targets.items()}
    return {function: f"{targets[function]}@{digest}" for function, digest in digests.items() if digest}


async def publish(
    ecr: Any, builder: Builder, targets: Mapping[str, str], recipe: Recipe, tell: Callable[[str], None]
) -> dict[str, str]:
    """Build and push the images that the repositories lack; return the URI of each image, by digest.

    `targets` are the repositories by function. Raises `ImageError`, and botocore's `ClientError`.
    """
    uris = await found(ecr, targets, recipe)
    missing = {function: repository for function, repository in targets.items() if function not in uris}
    for registry in {repository.partition("/")[0] for repository in missing.values()}:
        await _login(ecr, builder, registry)
    for function, repository in missing.items():
        tag = recipe.tag(function)
        local = f"localhost/millpond-{function}:{tag}"
        tell(f"building {function}")
        builder.build(function, local, recipe)
        tell(f"pushing {function}")
        try:
            digest = builder.push(local, f"{repository}:{tag}")
        except ImageError:
            # Tags are immutable: the push is refused if somebody else has just pushed the same content. Use theirs.
            if (theirs := await pushed(ecr, repository, tag)) is None:
                raise
            digest = theirs
        uris[function] = f"{repository}@{digest}"
    return uris


async def _login(ecr: Any, builder: Builder, registry: str) -> None:
    given = (await ecr.get_authorization_token())["authorizationData"][0]
    user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    builder.login(registry, user, password)
