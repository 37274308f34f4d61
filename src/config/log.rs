//! The log lines of the configuration.

use super::Config;

impl Config {
    /// Logs the configuration in force. Of secrets it only says whether they are configured.
    pub(crate) fn log(&self, cuda: bool) {
        let access = &self.access;
        let shown = |there: bool| if there { "given" } else { "none" };
        let origins: Vec<_> = access
            .cors_origins
            .iter()
            .filter_map(|o| o.to_str().ok())
            .collect();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = %self.listen,
            admin_listen = access.admin_listen.map(tracing::field::display),
            tls = shown(access.tls_cert.is_some()),
            api_keys = shown(access.api_keys.is_some()),
            rate_limit = access.rate_limit,
            rate_burst = access.rate_limit.map(|_| access.burst()),
            trusted_proxies = access.trusted_proxies,
            cors_origins = origins.join(","),
            model = %self.model.model.display(),
            device = %self.model.device,
            engine = %self.model.engine,
            precision = %self.model.precision,
            cpus = self.cpus,
            workers = self.workers(cuda),
            threads = self.model.threads,
            decode_threads = self.decode_threads(),
            detect_threads = self.detect_threads(),
            max_faces = self.max_faces,
            max_batch = self.max_batch(cuda),
            batch_linger = ?self.batch_linger,
            queue = self.queue(cuda),
            "configuration"
        );
        tracing::info!(
            max_in_flight = self.max_in_flight(cuda),
            most_in_flight = self.most_in_flight(cuda),
            max_connections = self.max_connections,
            request_timeout = ?self.request_timeout,
            header_timeout = ?self.header_timeout,
            body_timeout = ?self.body_timeout,
            max_body = self.max_body,
            max_buffered = self.max_buffered(),
            max_pixels = self.max_pixels,
            decode_timeout = ?self.decode_timeout,
            decode_memory = self.decode_memory(),
            max_images = self.max_images,
            drain_delay = ?self.drain_delay,
            drain_timeout = ?self.drain_timeout,
            wedge_timeout = ?self.wedge_timeout,
            otlp_endpoint = self.otlp_endpoint,
            log = self.log.log_filter,
            "limits"
        );
    }
}
