"""Renders kustomizations by kubectl, holds every object to the schemas of Kubernetes, and prints all as JSON: {FOLDER: [OBJECT, …]}.

Usage: k8s.py KUBECTL FOLDER…
"""

import json
import subprocess
import sys

import kubernetes_validate
import yaml

# The oldest and the newest that k8s/README.md promises.
VERSIONS = ("1.30", "1.37")


def rendered(kubectl, folder):
    """The objects of a kustomization, each valid in all versions."""
    text = subprocess.run([kubectl, "kustomize", folder], check=True, stdout=subprocess.PIPE).stdout
    objects = [item for item in yaml.safe_load_all(text) if item is not None]
    for item in objects:
        name = f"{folder}: {item.get('kind')} {item.get('metadata', {}).get('name')}"
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(item, version, strict=True)
            except Exception as error:
                sys.exit(f"{name} is not one of Kubernetes {version}: {error}")
    return objects


kubectl, *folders = sys.argv[1:]
print(json.dumps({folder: rendered(kubectl, folder) for folder in folders}))
