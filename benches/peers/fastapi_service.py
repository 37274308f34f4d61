"""The service most would write: FastAPI, Pillow, PyTorch eager. A picture is the body; the answer is /predict's.

FER_MODEL=model FER_THREADS=1 uvicorn --app-dir benches/peers fastapi_service:app --workers 2
"""

import common
from fastapi import FastAPI, Request

app = FastAPI()
model = common.network()


@app.get("/livez")
async def livez():
    return {}


@app.post("/predict")
async def predict(request: Request):
    # On the event loop: a thread for each request costs more than it brings where one inference takes all the processor.
    x = common.decode(await request.body())
    return common.answer(common.probabilities(model, x[None])[0])
