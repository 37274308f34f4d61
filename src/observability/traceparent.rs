//! The header `traceparent`: the caller's span in a distributed trace (W3C Trace Context, level 1).

use axum::http::HeaderMap;

/// A valid `traceparent`: `00-<trace, 32 hex>-<parent, 16 hex>-<flags, 2 hex>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceParent {
    /// 32 lower-case hexadecimal digits, not all 0.
    pub(crate) trace_id: String,
    /// The caller's span: 16 lower-case hexadecimal digits, not all 0.
    pub(crate) span_id: String,
    /// Whether the caller may have recorded its span.
    pub(crate) sampled: bool,
}

impl TraceParent {
    /// The header, if it is well formed. Any other value counts as absent, as the recommendation requires.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get("traceparent")?.to_str().ok()?;
        let mut fields = value.split('-');
        let [version, trace, parent, flags] =
            [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
        let hex = |s: &str, n| {
            s.len() == n
                && s.bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let some = |s: &str| s.bytes().any(|b| b != b'0');
        let framed = hex(version, 2) && version != "ff" && (version != "00" || fields.next().is_none());
        let good =
            framed && hex(trace, 32) && hex(parent, 16) && hex(flags, 2) && some(trace) && some(parent);
        good.then(|| Self {
            trace_id: trace.to_owned(),
            span_id: parent.to_owned(),
            sampled: u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_parent_is_read_or_ignored() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_str(value).unwrap());
            TraceParent::of(&headers)
        };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = read(&format!("00-{id}-00f067aa0ba902b7-01")).unwrap();
        assert_eq!(
            (&*good.trace_id, &*good.span_id, good.sampled),
            (id, "00f067aa0ba902b7", true)
        );
        let later = read(&format!("01-{id}-00f067aa0ba902b7-02-more")).unwrap();
        assert_eq!((&*later.trace_id, later.sampled), (id, false));
        for bad in [
            String::new(),
            id.to_owned(),
            format!("00-{id}-00f067aa0ba902b7"),
            format!("00-{id}-00f067aa0ba902b7-01-more"),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{id}-{}-01", "0".repeat(16)),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }
}
