"""The ECR repositories: what is in them already, how to log in, and images pushed that are not there yet."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from engine.deployment.images import FUNCTIONS, Builder, content_tag


def repositories(outputs: Mapping[str, str]) -> dict[str, str]:
    """Return the repository of each function, from the outputs of `deploy/repositories.yaml`."""
    return {function: outputs[f"{function.capitalize()}RepositoryUri"] for function in FUNCTIONS}


async def pushed(ecr: Any, repository: str, tag: str) -> str | None:
    """Return the digest of an image that lies in its repository already, or None."""
    name = repository.partition("/")[2]
    try:
        found = await ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])
    except ClientError as error:
        if error.response["Error"].get("Code") in ("ImageNotFoundException", "RepositoryNotFoundException"):
            return None
        raise
    digests: list[str] = [image["imageDigest"] for image in found["imageDetails"]]
    return digests[0] if digests else None


async def publish(
    ecr: Any,
    builder: Builder,
    targets: Mapping[str, str],
    *,
    checkout: Path,
    architecture: str,
    base_image: str | None,
    options: Sequence[str],
    tell: Callable[[str], None],
) -> dict[str, str]:
    """Build and push the images that are not in their repositories yet; return each image's URI by its digest.

    `targets` are the repositories by function. Raises `ImageError`, and botocore's `ClientError`.
    """
    uris = {}
    let_in = False
    for function, repository in targets.items():
        tag = content_tag(checkout, function, architecture=architecture, base_image=base_image)
        digest = await pushed(ecr, repository, tag)
        if digest is None:
            if not let_in:
                await _login(ecr, builder, repository.partition("/")[0])
                let_in = True
            local = f"localhost/millpond-{function}:{tag}"
            tell(f"building {function}")
            builder.build(
                function, local, checkout=checkout, architecture=architecture, base_image=base_image, options=options
            )
            tell(f"pushing {function}")
            digest = builder.push(local, f"{repository}:{tag}")
        uris[function] = f"{repository}@{digest}"
    return uris


async def _login(ecr: Any, builder: Builder, registry: str) -> None:
    given = (await ecr.get_authorization_token())["authorizationData"][0]
    user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    builder.login(registry, user, password)
