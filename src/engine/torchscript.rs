//! Runs any TorchScript module that maps float `[N,1,48,48]` to logits `[N,7]`.

use tch::{CModule, Device, Kind, Tensor};

use super::{Classifier, EngineError, EngineInfo, InputSpec, Logits, ModelFolder, device_name};
use crate::{
    emotion::CLASSES,
    image::{Face, PIXELS, SIDE},
};

/// The module, on its device, with the scaling its folder asks for.
#[derive(Debug)]
pub struct TorchScript {
    module: CModule,
    device: Device,
    input: InputSpec,
}

impl TorchScript {
    /// Loads `model.pt` onto the device and runs it once, so that a module of the wrong shape is refused here.
    ///
    /// # Errors
    /// [`EngineError::Torch`] if libtorch cannot load or run it, [`EngineError::Shape`] if its output is not `[N,7]`.
    pub fn load(folder: &ModelFolder, device: Device) -> Result<Self, EngineError> {
        let mut module = CModule::load_data_on_device(&mut folder.torchscript(), device)?;
        module.f_set_eval()?;
        let mut engine = Self {
            module,
            device,
            input: folder.manifest().input,
        };
        engine.classify(&[Face([0; PIXELS]), Face([255; PIXELS])])?;
        Ok(engine)
    }
}

impl Classifier for TorchScript {
    fn classify(&mut self, faces: &[Face]) -> Result<Vec<Logits>, EngineError> {
        if faces.is_empty() {
            return Ok(Vec::new());
        }
        let _no_grad = tch::no_grad_guard();
        // With tensors rather than values: tch's `forward_is` frees its input only where the module succeeds.
        let input = to_input(faces, &self.input, self.device)?;
        to_logits(&self.module.forward_ts(&[input])?, faces.len())
    }

    fn info(&self) -> EngineInfo {
        EngineInfo {
            engine: "torchscript",
            precision: "f32",
            device: device_name(self.device),
        }
    }
}

/// Faces as the float tensor `[N,1,48,48]` that the manifest's scaling asks for.
///
/// # Errors
/// What libtorch says (out of memory, mostly).
pub fn to_input(faces: &[Face], spec: &InputSpec, device: Device) -> Result<Tensor, EngineError> {
    let bytes: Vec<u8> = faces.iter().flat_map(|f| f.0).collect();
    let side = i64::try_from(SIDE).unwrap_or(i64::MAX);
    let pixels = Tensor::f_from_slice(&bytes)?
        .f_to_device(device)?
        .f_view([-1, 1, side, side])?;
    let (factor, offset) = spec.affine();
    Ok(pixels
        .f_to_kind(Kind::Float)?
        .f_mul_scalar(factor)?
        .f_add_scalar(offset)?)
}

/// The rows of a `[N,7]` tensor.
///
/// # Errors
/// [`EngineError::Shape`] if it has another shape.
pub fn to_logits(tensor: &Tensor, batch: usize) -> Result<Vec<Logits>, EngineError> {
    let got = tensor.size();
    if got
        != [
            i64::try_from(batch).unwrap_or(-1),
            i64::try_from(CLASSES).unwrap_or(-1),
        ]
    {
        return Err(EngineError::Shape { got, batch });
    }
    let flat = tensor
        .f_to_kind(Kind::Float)?
        .f_to_device(Device::Cpu)?
        .f_contiguous()?
        .f_view([-1])?;
    let mut values = vec![0f32; batch * CLASSES];
    let count = values.len();
    flat.f_copy_data(&mut values, count)?;
    Ok(values
        .chunks_exact(CLASSES)
        .map(|row| {
            let mut logits = [0.0; CLASSES];
            logits.copy_from_slice(row);
            logits
        })
        .collect())
}
