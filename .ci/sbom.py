#!/usr/bin/env python3
"""The bill of materials of an unpacked image, as SPDX 2.3: sbom.py ROOT WEIR_VERSION TARGET

Names and versions are what dpkg of the image says; weir itself is not a package there.
"""

import hashlib
import json
import pathlib
import re
import sys


def installed(root):
    """(name, version, architecture, maintainer) of each package, sorted."""
    text = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    for paragraph in text.strip().split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.M))
        if fields.get("Status") == "install ok installed":
            yield fields["Package"], fields["Version"], fields["Architecture"], fields["Maintainer"]


def spdx_id(name):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name.replace("+", "-plus"))


def package(name, version, supplier, **more):
    return {"name": name, "SPDXID": spdx_id(name), "versionInfo": version, "supplier": supplier,
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION", **more}


def document(root, version):
    program = hashlib.sha256((root / "usr/local/bin/weir").read_bytes()).hexdigest()
    weir = package("weir", version, "Organization: the authors of Weir",
                   licenseDeclared="Apache-2.0",
                   checksums=[{"algorithm": "SHA256", "checksumValue": program}])
    packages = [weir]
    for name, its_version, architecture, maintainer in sorted(installed(root)):
        person = re.sub(r"<(.*)>", r"(\1)", maintainer)
        locator = f"pkg:deb/debian/{name.replace('+', '%2B')}@{its_version}?arch={architecture}"
        packages.append(package(
            name, its_version, f"Organization: {person}",
            externalRefs=[{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                           "referenceLocator": locator}]))
    links = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
              "relatedSpdxElement": weir["SPDXID"]}]
    links += [{"spdxElementId": weir["SPDXID"], "relationshipType": "DEPENDS_ON",
               "relatedSpdxElement": other["SPDXID"]} for other in packages[1:]]
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"weir-{version}", "documentNamespace": f"https://weir.invalid/spdx/{program}",
            # The same image has the same bill: no time of making.
            "creationInfo": {"created": "1970-01-01T00:00:00Z", "creators": ["Tool: sbom.py"]},
            "packages": packages, "relationships": links}


def main():
    root, version, target = sys.argv[1:]
    text = json.dumps(document(pathlib.Path(root), version), indent=2)
    pathlib.Path(target).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
