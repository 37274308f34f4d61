//! Runs any TorchScript module that maps float `[N,1,48,48]` to logits `[N,7]`, and writes this network as one.

use std::path::Path;

use fer_image::{Face, PIXELS, SIDE};
use tch::{CModule, Device, Kind, TchError, Tensor};

use super::{Classifier, EngineError, EngineInfo, InputSpec, Logits, ModelFolder, device_name};
use crate::{
    emotion::CLASSES,
    network::{Folded, Kernel, LAYERS},
};

/// The module, on its device, with the scaling of its folder.
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
            input: *folder.manifest().input,
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

/// A size as libtorch takes it.
#[must_use]
pub const fn as_i64(n: usize) -> i64 {
    n as i64
}

/// Faces as a float tensor `[N,1,48,48]`, scaled as the manifest says.
pub(crate) fn to_input(faces: &[Face], spec: &InputSpec, device: Device) -> Result<Tensor, EngineError> {
    let bytes: Vec<u8> = faces.iter().flat_map(|f| f.0).collect();
    let side = as_i64(SIDE);
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
    if got != [as_i64(batch), as_i64(CLASSES)] {
        return Err(EngineError::Shape { got, batch });
    }
    let flat = tensor
        .f_to_kind(Kind::Float)?
        .f_to_device(Device::Cpu)?
        .f_contiguous()?
        .f_view([-1])?;
    let mut logits = vec![[0.0; CLASSES]; batch];
    flat.f_copy_data(logits.as_flattened_mut(), batch * CLASSES)?;
    Ok(logits)
}

/// The folded layers as libtorch operations, which [`save_torchscript`] traces.
pub(crate) struct FoldedModule(Vec<(Tensor, Tensor)>);

impl FoldedModule {
    /// Weights and biases as tensors on the CPU.
    pub(crate) fn new(layers: &[Folded]) -> Result<Self, TchError> {
        let tensors = LAYERS.iter().zip(layers).map(|(layer, folded)| {
            let shape: Vec<i64> = layer.weight_shape().into_iter().map(as_i64).collect();
            let weight = Tensor::f_from_slice(&folded.weight)?.f_view(shape.as_slice())?;
            Ok((weight, Tensor::f_from_slice(&folded.bias)?))
        });
        Ok(Self(tensors.collect::<Result<_, TchError>>()?))
    }

    /// Logits `[N,7]` of scaled pixels `[N,1,48,48]`.
    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let mut x = input.shallow_clone();
        let last = LAYERS.len() - 1;
        for (i, (layer, (weight, bias))) in LAYERS.iter().zip(&self.0).enumerate() {
            x = match layer.kernel {
                Kernel::Conv { padding, .. } => x
                    .f_conv2d(weight, Some(bias), [1, 1], [as_i64(padding); 2], [1, 1], 1)?
                    .f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?,
                Kernel::Dense => x.f_flatten(1, -1)?.f_linear(weight, Some(bias))?,
            };
            if i < last {
                x = x.f_relu()?;
            }
        }
        Ok(x)
    }
}

/// Traces the folded layers and writes them as `model.pt`.
///
/// # Errors
/// [`EngineError::Torch`], or [`EngineError::Write`] if the file cannot be moved into place.
pub fn save_torchscript(layers: &[Folded], path: &Path) -> Result<(), EngineError> {
    let _no_grad = tch::no_grad_guard();
    let network = FoldedModule::new(layers)?;
    let side = as_i64(SIDE);
    let example = Tensor::f_zeros([1, 1, side, side], (Kind::Float, Device::Cpu))?;
    let mut failed = None;
    // The closure cannot return an error: the input takes the place of the output, and the error is returned below.
    let mut forward = |inputs: &[Tensor]| match network.forward(&inputs[0]) {
        Ok(logits) => vec![logits],
        Err(e) => {
            failed = Some(e);
            vec![inputs[0].shallow_clone()]
        }
    };
    let mut module = CModule::create_by_tracing("Fer", "forward", &[example], &mut forward)?;
    if let Some(e) = failed {
        return Err(e.into());
    }
    module.f_set_eval()?;
    let part = path.with_extension("pt.part");
    module.save(&part)?;
    std::fs::rename(&part, path).map_err(|source| EngineError::Write {
        path: path.to_owned(),
        source,
    })
}
