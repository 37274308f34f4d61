"""What JSON Schema cannot express: that a string is an image. schemathesis reads this file (`hooks` in schemathesis.toml)."""

import base64

import schemathesis
from hypothesis import strategies as st
from schemathesis.transport.serialization import Binary

from fer_tools.shared import images

# PNGs of several sizes: gray, and one of 16 bits with transparency.
FILES = [images.png(width, height, width / 7) for width, height in [(1, 1), (3, 2), (48, 48), (64, 21), (97, 130)]] + [images.deep_png(20, 30)]
IMAGES = st.sampled_from(FILES)

schemathesis.openapi.format("picture", IMAGES.map(Binary))
schemathesis.openapi.format("picture-base64", IMAGES.map(lambda file: base64.b64encode(file).decode()))
for media_type in ["image/*", "image/png", "image/jpeg", "image/gif"]:
    schemathesis.openapi.media_type(media_type, IMAGES)


@schemathesis.hook
def before_load_schema(context: object, raw_schema: dict) -> None:
    """Strings that are images are drawn from images; values that are no strings, or none at all, are still sent."""
    schemas = raw_schema["components"]["schemas"]
    schemas["PictureBytes"] = schemas["PicturePart"] = {"type": "string", "format": "picture"}
    schemas["PictureBase64"] = {"type": "string", "format": "picture-base64"}
    schemas["OnePictureJson"]["properties"]["image"].pop("minLength", None)
    # Among several, a string that is no image gets an error in its place.
    schemas["ManyPicturesJson"]["properties"]["images"]["items"] = {"anyOf": [{"type": "string", "format": "picture-base64"}, {"type": "string"}]}


@schemathesis.deserializer("application/octet-stream")
def tensor(context: object, response: schemathesis.Response) -> str:
    """One character for each byte."""
    return response.content.decode("latin-1")
