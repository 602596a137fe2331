"""Where the C core is, for programs that have it compiled into them."""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def get_include() -> str:
    """The directory of ``fastppv2.h`` and the sources of the C core, for a compiler's ``-I``.

    It comes with every wheel, also with the one without extensions. In a checkout it is
    ``csrc``. Raises FileNotFoundError where the package was installed without it.
    """
    places = (os.path.join(_PACKAGE, "include"), os.path.join(os.path.dirname(_PACKAGE), "csrc"))
    for place in places:
        if os.path.isfile(os.path.join(place, "fastppv2.h")):
            return place
    raise FileNotFoundError(
        f"fastppv2.h is neither in {places[0]!r} nor in {places[1]!r}: "
        "install fastppv2 from a wheel, with all its files"
    )
