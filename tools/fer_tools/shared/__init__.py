"""What several commands need: virtual environments, servers, requests, images, load, reports."""
