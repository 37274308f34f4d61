//! The packed engines to try.

use tch::Device;

use crate::{
    EngineError, FoldedNetwork, ModelFolder, Packed, Precision, PrecisionRequest, QuantRanges, packed::Ranges,
};

/// Accuracy that int8 may cost and still be chosen automatically, in percentage points.
pub const INT8_COST_LIMIT: f64 = 0.3;

/// Every packed engine that the flag, the processor and the folder allow, of the precisions that `include` accepts.
pub(super) fn packed(
    folder: &ModelFolder,
    device: Device,
    request: PrecisionRequest,
    include: impl Fn(Precision) -> bool,
) -> Result<Vec<Packed>, EngineError> {
    if device != Device::Cpu {
        let reason = "runs on the CPU only; use --device cpu".to_owned();
        return Err(EngineError::Packed(reason));
    }
    let network = FoldedNetwork::load(folder)?;
    let mut built = Vec::new();
    for precision in Precision::ALL
        .into_iter()
        .filter(|p| request.allows(*p) && include(*p))
    {
        let ranges = if precision == Precision::Int8 {
            match int8_ranges(folder, request) {
                Ok(ranges) => Some(ranges),
                Err(e) if request == PrecisionRequest::Int8 => return Err(e),
                Err(e) => {
                    tracing::info!(reason = %e, "int8 is not considered");
                    continue;
                }
            }
        } else {
            None
        };
        match Packed::new(&network, precision, ranges.as_ref()) {
            Ok(engine) => built.push(engine),
            Err(e) if request != PrecisionRequest::Auto => return Err(e),
            Err(e) => tracing::debug!(reason = %e, "not considered"),
        }
    }
    Ok(built)
}

/// Whether folder and flag allow int8; the processor may not.
pub(super) fn offers_int8(folder: &ModelFolder, device: Device, request: PrecisionRequest) -> bool {
    let allowed = device == Device::Cpu && folder.weights().is_some() && request.allows(Precision::Int8);
    allowed && int8_ranges(folder, request).is_ok()
}

/// The ranges of `model.int8.json`; with `auto`, only if int8's cost is known and within the limit.
fn int8_ranges(folder: &ModelFolder, request: PrecisionRequest) -> Result<Ranges, EngineError> {
    let unfit = |reason: &str| EngineError::Packed(reason.to_owned());
    let quantised = QuantRanges::load(folder)?
        .ok_or_else(|| unfit("int8 needs model.int8.json, which `fer-train export` writes"))?;
    if request == PrecisionRequest::Auto {
        let cost = quantised.cost.map(|c| c.points());
        let cost = cost.ok_or_else(|| unfit("int8's cost in accuracy was not measured"))?;
        if cost > INT8_COST_LIMIT {
            return Err(EngineError::Packed(format!(
                "int8 costs {cost:.2} points of accuracy; the limit is {INT8_COST_LIMIT}"
            )));
        }
    }
    quantised.ranges().map_err(EngineError::Packed)
}
