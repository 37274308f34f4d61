"""The same network behind LitServe, which batches. A request is JSON, {"image": base64}; the answer is /predict's.

FER_MODEL=model FER_THREADS=1 python benches/peers/litserve_service.py --port 8000 --workers 2
"""

import argparse
import base64

import common
import litserve
import torch


class Expressions(litserve.LitAPI):
    def setup(self, device):
        self.model = common.network()

    def decode_request(self, request):
        return common.decode(base64.b64decode(request["image"]))

    def batch(self, inputs):
        return torch.stack(inputs)

    def predict(self, x):
        return common.probabilities(self.model, x)

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return common.answer(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=2, help="processes that hold the network")
    parser.add_argument("--max-batch", type=int, default=16)
    parser.add_argument("--linger", type=float, default=0.002, help="seconds a batch waits to fill")
    arguments = parser.parse_args()
    api = Expressions(max_batch_size=arguments.max_batch, batch_timeout=arguments.linger)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=arguments.workers, healthcheck_path="/livez")
    server.run(host="127.0.0.1", port=arguments.port, num_api_servers=1, generate_client_file=False, log_level="warning")
