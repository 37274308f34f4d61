//! The flags of `fer-train`.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{data::Usage, error::TrainError, export::Identity, network::TrainingPrecision, recipe::Recipe};

mod shared;

pub(crate) use shared::{EngineArgs, MachineArgs, RowArgs};

/// Trains the network of "Convolutional Neural Networks for Facial Expression Recognition" on FER2013, and
/// measures it.
#[derive(Debug, Parser)]
#[command(name = "fer-train", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train: checkpoints, records and at the end a model folder in --out
    #[command(
        after_help = "The default recipe trains three networks in 40 epochs each and distils a fourth from them in 22: five hours on two \
        processors with AVX512-BF16, 130 minutes with AMX, for 68.2 % or 68.3 % on the public-test split. --recipe single is one of the three: 80 or 32 minutes, \
        67.8 % to 68.5 % (four seeds). \
        --quick: 8 epochs, 16 minutes, 64.5 %. The same seed on the same machine gives the same weights."
    )]
    Fit(Box<FitArgs>),
    /// Score a model folder on a labelled CSV
    Eval(EvalArgs),
    /// Write a label for every row of a CSV that has only pixels
    Predict(PredictArgs),
    /// Write the model folder of a checkpoint
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    /// Training rows: columns emotion,pixels; with a Usage column only the Training rows
    #[arg(long, env = "FER_TRAIN", value_name = "CSV")]
    pub(crate) train: PathBuf,
    /// Validation rows. Without it: the PublicTest rows if --train has a Usage column, else a tenth of its rows,
    /// every label in proportion, chosen by the seed (never a row whose face another row has)
    #[arg(long, env = "FER_VALID", value_name = "CSV")]
    pub(crate) valid: Option<PathBuf>,
    /// Folder for checkpoints, metrics.jsonl, TensorBoard events and the model folder `model`
    #[arg(long, env = "FER_OUT", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Continue the run in --out where it stopped; give the same flags
    #[arg(long)]
    pub(crate) resume: bool,
    /// default, single (the default without teachers), quick, published (the recipe behind the published 62 %), or a JSON file: a recipe (missing fields
    /// have their default) or a model.json (the recipe of that model) [default: default]
    #[arg(long, env = "FER_RECIPE", value_name = "NAME|FILE")]
    pub(crate) recipe: Option<String>,
    /// The same as --recipe quick
    #[arg(long, env = "FER_QUICK")]
    pub(crate) quick: bool,
    /// Start from the weights of a model.safetensors instead of random ones
    #[arg(long, env = "FER_INIT", value_name = "FILE")]
    pub(crate) init: Option<PathBuf>,
    /// Passes over the training rows of each network [default: the recipe's; 40 by default]
    #[arg(long, env = "FER_EPOCHS", value_name = "N")]
    pub(crate) epochs: Option<u32>,
    /// Rows per step [default: the recipe's; 128 by default]
    #[arg(long, env = "FER_BATCH_SIZE", value_name = "N")]
    pub(crate) batch_size: Option<usize>,
    /// Highest learning rate [default: the recipe's; 0.1 by default]
    #[arg(long, env = "FER_LEARNING_RATE", value_name = "X")]
    pub(crate) learning_rate: Option<f64>,
    /// Seed of all randomness [default: the recipe's; 1 by default]
    #[arg(long, env = "FER_SEED", value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Number format of the forward and backward pass; weights are always f32. auto: bf16 where the processor or GPU
    /// has it
    #[arg(long, env = "FER_PRECISION", default_value = "auto")]
    pub(crate) precision: TrainingPrecisionRequest,
    /// Seconds between checkpoints within an epoch; one is written after every epoch anyway
    #[arg(long, env = "FER_CHECKPOINT_SECONDS", default_value_t = 60, value_name = "N")]
    pub(crate) checkpoint_seconds: u64,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    #[command(flatten)]
    pub(crate) identity: Identity,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Model folder
    #[arg(long, env = "FER_MODEL", value_name = "DIR", default_value = "model")]
    pub(crate) model: PathBuf,
    /// Labelled rows
    #[arg(long, env = "FER_DATA", value_name = "CSV")]
    pub(crate) data: PathBuf,
    /// Only rows of this set, where the CSV has a Usage column
    #[arg(long, env = "FER_USAGE", value_name = "SET")]
    pub(crate) usage: Option<Usage>,
    /// The rows the model was trained on (the Training rows if there is a Usage column): also score the rows of --data whose
    /// face no training row has; with --json as two more keys, `repeated_faces` and `unseen`
    #[arg(long, env = "FER_TRAIN", value_name = "CSV")]
    pub(crate) train: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Also measure the accuracy on shifted, rotated, blurred, compressed, lighter, darker and resized faces (15 passes
    /// over the rows); with --json as one more key, `robustness`
    #[arg(long)]
    pub(crate) robustness: bool,
    /// Also draw confusion matrix, reliability, precision and recall, learning curves and the most confident mistakes
    /// into this folder, as SVG and as one page, report.html. The mistakes show images of the data
    #[arg(long, env = "FER_PLOTS", value_name = "DIR")]
    pub(crate) plots: Option<PathBuf>,
    /// Records of the training run for the learning curves [default: metrics.jsonl in or next to the model folder]
    #[arg(long, env = "FER_METRICS", value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,
    /// First fit the temperature on the rows of --data (at least 100, no training rows), and write it and the new scores into model.json and the model card
    #[arg(long, alias = "calibrate")]
    pub(crate) fit_temperature: bool,
    /// Write what was measured into model.json and the model card
    #[arg(long)]
    pub(crate) record: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// Model folder
    #[arg(long, env = "FER_MODEL", value_name = "DIR", default_value = "model")]
    pub(crate) model: PathBuf,
    /// Rows with a pixels column; emotion and Usage are ignored
    #[arg(long, env = "FER_DATA", value_name = "CSV")]
    pub(crate) data: PathBuf,
    /// File for the labels: one `emotion` (0–6) per row, in order
    #[arg(long, env = "FER_OUT", value_name = "CSV")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// best.safetensors or last.safetensors of a run
    #[arg(long, env = "FER_CHECKPOINT", value_name = "FILE")]
    pub(crate) checkpoint: PathBuf,
    /// Model folder to write
    #[arg(long, env = "FER_OUT", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Score it on these labelled rows (the PublicTest rows if there is a Usage column), fit the temperature on them, and write both
    /// into model.json and the model card
    #[arg(long, env = "FER_DATA", value_name = "CSV")]
    pub(crate) data: Option<PathBuf>,
    /// Training rows for the int8 calibration (the Training rows if there is a Usage column), without rows of
    /// --data. Without this flag no model.int8.json is written
    #[arg(long, alias = "calibrate", env = "FER_CALIBRATE", value_name = "CSV")]
    pub(crate) int8_data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    #[command(flatten)]
    pub(crate) identity: Identity,
}

/// `--precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrainingPrecisionRequest {
    /// bf16 where the processor or GPU has it
    Auto,
    /// bfloat16
    Bf16,
    /// 32-bit float
    F32,
}

impl TrainingPrecisionRequest {
    pub(crate) fn resolve(self, device: tch::Device) -> TrainingPrecision {
        match self {
            Self::Auto => TrainingPrecision::detect(device),
            Self::Bf16 => TrainingPrecision::Bf16,
            Self::F32 => TrainingPrecision::F32,
        }
    }
}

impl FitArgs {
    /// The recipe file's values (or the defaults), replaced by those of the flags.
    pub(crate) fn recipe(&self) -> Result<Recipe, TrainError> {
        // Not left to clap, which takes FER_QUICK=false for a given flag.
        if self.quick && self.recipe.is_some() {
            return Err(TrainError::Usage(
                "--quick (FER_QUICK) is a recipe itself and cannot be used with --recipe (FER_RECIPE)"
                    .to_owned(),
            ));
        }
        let mut recipe = match self.recipe.as_deref() {
            _ if self.quick => Recipe::quick(),
            None | Some("default") => Recipe::default(),
            Some("single") => Recipe::single(),
            Some("quick") => Recipe::quick(),
            Some("published") => Recipe::published(),
            Some(path) => Recipe::from_file(Path::new(path))?,
        };
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.distillation.epochs = self.epochs.unwrap_or(recipe.distillation.epochs);
        recipe.batch_size = self.batch_size.unwrap_or(recipe.batch_size);
        recipe.learning_rate = self.learning_rate.unwrap_or(recipe.learning_rate);
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        recipe.check().map_err(TrainError::Usage)?;
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_page_of_flags_is_what_help_says() {
        crate::flags::check_page(Cli::command(), "fer-train.md");
    }

    #[test]
    fn quick_is_a_recipe_and_takes_no_other() {
        let fit = |flags: &[&str]| {
            let usual = ["fer-train", "fit", "--train", "t.csv", "--out", "o"];
            match Cli::parse_from(usual.iter().chain(flags)).command {
                Command::Fit(args) => args,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(fit(&["--quick"]).recipe().unwrap(), Recipe::quick());
        assert_eq!(fit(&[]).recipe().unwrap(), Recipe::default());
        let both = fit(&["--quick", "--recipe", "single"]).recipe().unwrap_err();
        assert!(
            both.to_string().contains("--recipe") && both.exit_code() == 2,
            "{both}"
        );
    }

    #[test]
    fn help_states_the_default_recipes_values() {
        let mut cli = Cli::command();
        cli.build();
        let fit = cli.find_subcommand("fit").unwrap();
        let r = Recipe::default();
        for (flag, value) in [
            ("epochs", r.epochs.to_string()),
            ("batch_size", r.batch_size.to_string()),
            ("learning_rate", r.learning_rate.to_string()),
            ("seed", r.seed.to_string()),
        ] {
            let arg = fit.get_arguments().find(|a| a.get_id() == flag).unwrap();
            let help = arg.get_help().unwrap().to_string();
            assert!(help.contains(&format!("recipe's; {value} by default")), "{help}");
        }
    }
}
