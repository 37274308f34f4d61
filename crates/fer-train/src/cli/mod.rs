//! The flags of `fer-train`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{TrainError, precision::Precision, recipe::Recipe};

mod shared;

pub use shared::{EngineArgs, IdentityArgs, MachineArgs, RowArgs};

/// Trains the network of "Convolutional Neural Networks for Facial Expression Recognition" on FER2013, and
/// measures it.
#[derive(Debug, Parser)]
#[command(name = "fer-train", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train: checkpoints, records and at the end a model folder in --out
    #[command(
        after_help = "The default recipe trains three networks of 40 epochs and a fourth, in 22, that learns from them: five hours on two \
        processors with AVX512-BF16, 130 minutes with AMX, to 68.2 % or 68.3 % on the public-test split. --recipe single is one of the three: 80 or 32 minutes, \
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

/// `fit`.
#[derive(Debug, Args)]
pub struct FitArgs {
    /// Training rows: emotion,pixels or with a Usage column, of which the Training rows are taken
    #[arg(long, env = "FER_TRAIN", value_name = "CSV")]
    pub train: PathBuf,
    /// Validation rows. Without it: the PublicTest rows if --train has a Usage column, else a tenth of its rows,
    /// every label in proportion, chosen by the seed; rows whose face another row has are trained on
    #[arg(long, env = "FER_VALID", value_name = "CSV")]
    pub valid: Option<PathBuf>,
    /// Folder for checkpoints, metrics.jsonl, TensorBoard events and the model folder `model`
    #[arg(long, env = "FER_OUT", value_name = "DIR")]
    pub out: PathBuf,
    /// Go on where the run in --out stopped; the same flags must be given
    #[arg(long)]
    pub resume: bool,
    /// default, single (the default without teachers), quick, published (what the network's published 62 % were reached with), or a JSON file: a recipe (what it
    /// leaves out has its default), or a model.json (the recipe of that model) [default: default]
    #[arg(long, env = "FER_RECIPE", value_name = "NAME|FILE", value_parser = recipe_source)]
    pub recipe: Option<RecipeSource>,
    /// The same as --recipe quick
    #[arg(long, env = "FER_QUICK")]
    pub quick: bool,
    /// Start from the weights of a model.safetensors instead of random ones
    #[arg(long, env = "FER_INIT", value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// Passes over the training rows of each network [default: the recipe's; 40 by default]
    #[arg(long, env = "FER_EPOCHS", value_name = "N")]
    pub epochs: Option<u32>,
    /// Rows a step [default: the recipe's; 128 by default]
    #[arg(long, env = "FER_BATCH_SIZE", value_name = "N")]
    pub batch_size: Option<usize>,
    /// Highest learning rate [default: the recipe's; 0.1 by default]
    #[arg(long, env = "FER_LEARNING_RATE", value_name = "X")]
    pub learning_rate: Option<f64>,
    /// Where all randomness comes from [default: the recipe's; 1 by default]
    #[arg(long, env = "FER_SEED", value_name = "N")]
    pub seed: Option<u64>,
    /// What forward and backward pass compute in; weights are always f32. auto: bf16 where the processor or GPU
    /// has it
    #[arg(long, env = "FER_PRECISION", default_value = "auto")]
    pub precision: PrecisionRequest,
    /// Seconds between checkpoints within an epoch; one is written after every epoch anyway
    #[arg(long, env = "FER_CHECKPOINT_SECONDS", default_value_t = 60, value_name = "N")]
    pub checkpoint_seconds: u64,
    /// Where to compute.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// How to read rows.
    #[command(flatten)]
    pub rows: RowArgs,
    /// What to call the model.
    #[command(flatten)]
    pub identity: IdentityArgs,
}

/// `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Model folder
    #[arg(long, env = "FER_MODEL", value_name = "DIR", default_value = "model")]
    pub model: PathBuf,
    /// Labelled rows
    #[arg(long, env = "FER_DATA", value_name = "CSV")]
    pub data: PathBuf,
    /// Only rows of this set, where the CSV has a Usage column
    #[arg(long, env = "FER_USAGE", value_name = "SET")]
    pub usage: Option<UsageArg>,
    /// The rows the model was trained on (the Training rows if there is a Usage column): also score the rows of --data whose
    /// face is none of theirs; with --json as two more keys, `repeated_faces` and `unseen`
    #[arg(long, env = "FER_TRAIN", value_name = "CSV")]
    pub train: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Also measure the accuracy on shifted, turned, blurred, compressed, lighter, darker and resized faces (15 passes
    /// over the rows); with --json as one more key, `robustness`
    #[arg(long)]
    pub robustness: bool,
    /// Also draw confusion matrix, reliability, precision and recall, learning curves and the most confident mistakes
    /// into this folder, as SVG and as one page, report.html. The mistakes show pictures of the data
    #[arg(long, env = "FER_PLOTS", value_name = "DIR")]
    pub plots: Option<PathBuf>,
    /// Records of the training run for the learning curves [default: metrics.jsonl in or beside the model folder]
    #[arg(long, env = "FER_METRICS", value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// First fit the temperature on these rows, at least 100, and write it and the scores they then have into model.json and the model card; they must not be
    /// training rows
    #[arg(long, alias = "calibrate")]
    pub fit_temperature: bool,
    /// Write what was measured into model.json and the model card
    #[arg(long)]
    pub record: bool,
    /// What to run the network with.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Where to compute.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// How to read rows.
    #[command(flatten)]
    pub rows: RowArgs,
}

/// `predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Model folder
    #[arg(long, env = "FER_MODEL", value_name = "DIR", default_value = "model")]
    pub model: PathBuf,
    /// Rows with a pixels column; emotion and Usage are not looked at
    #[arg(long, env = "FER_DATA", value_name = "CSV")]
    pub data: PathBuf,
    /// Where the labels go: one `emotion` (0–6) a row, in order
    #[arg(long, env = "FER_OUT", value_name = "CSV")]
    pub out: PathBuf,
    /// What to run the network with.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Where to compute.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// best.safetensors or last.safetensors of a run
    #[arg(long, env = "FER_CHECKPOINT", value_name = "FILE")]
    pub checkpoint: PathBuf,
    /// Model folder to write
    #[arg(long, env = "FER_OUT", value_name = "DIR")]
    pub out: PathBuf,
    /// Score it on these labelled rows (the PublicTest rows if there is a Usage column), fit the temperature on them, and write both
    /// into model.json and the model card
    #[arg(long, env = "FER_DATA", value_name = "CSV")]
    pub data: Option<PathBuf>,
    /// Training rows that int8 is calibrated on, of which the Training rows are taken if there is a Usage column; never
    /// rows of --data. Without it no model.int8.json is written
    #[arg(long, alias = "calibrate", env = "FER_CALIBRATE", value_name = "CSV")]
    pub int8_data: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// How to read rows.
    #[command(flatten)]
    pub rows: RowArgs,
    /// What to call the model.
    #[command(flatten)]
    pub identity: IdentityArgs,
}

/// `--precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionRequest {
    /// bf16 where the processor or GPU has it
    Auto,
    /// bfloat16
    Bf16,
    /// 32-bit float
    F32,
}

impl PrecisionRequest {
    /// What to compute in on that device.
    #[must_use]
    pub fn resolve(self, device: tch::Device) -> Precision {
        match self {
            Self::Auto => Precision::detect(device),
            Self::Bf16 => Precision::Bf16,
            Self::F32 => Precision::F32,
        }
    }
}

/// `--usage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum UsageArg {
    /// 28,709 rows
    Training,
    /// 3,589 rows
    PublicTest,
    /// 3,589 rows
    PrivateTest,
}

/// `--recipe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipeSource {
    /// The one for the best model.
    Default,
    /// [`Recipe::single`].
    Single,
    /// [`Recipe::quick`].
    Quick,
    /// [`Recipe::published`].
    Published,
    /// One of the user's own.
    File(PathBuf),
}

/// Any other word is a file, whose absence is found out when it is read.
#[allow(clippy::unnecessary_wraps)] // the signature clap asks for
fn recipe_source(text: &str) -> Result<RecipeSource, std::convert::Infallible> {
    Ok(match text {
        "default" => RecipeSource::Default,
        "single" => RecipeSource::Single,
        "quick" => RecipeSource::Quick,
        "published" => RecipeSource::Published,
        path => RecipeSource::File(path.into()),
    })
}

impl FitArgs {
    /// The recipe file's values (or the defaults) with the flags on top.
    ///
    /// # Errors
    /// The file cannot be read, or a value is out of range.
    pub fn recipe(&self) -> Result<Recipe, TrainError> {
        // Not clap's to say: to it FER_QUICK=false is the flag given.
        if self.quick && self.recipe.is_some() {
            return Err(TrainError::Usage(
                "--quick (FER_QUICK) is a recipe itself and cannot be used with --recipe (FER_RECIPE)"
                    .to_owned(),
            ));
        }
        let mut recipe = match &self.recipe {
            _ if self.quick => Recipe::quick(),
            None | Some(RecipeSource::Default) => Recipe::default(),
            Some(RecipeSource::Single) => Recipe::single(),
            Some(RecipeSource::Quick) => Recipe::quick(),
            Some(RecipeSource::Published) => Recipe::published(),
            Some(RecipeSource::File(path)) => Recipe::from_file(path)?,
        };
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.distillation.epochs = self.epochs.unwrap_or(recipe.distillation.epochs);
        recipe.batch_size = self.batch_size.unwrap_or(recipe.batch_size);
        recipe.learning_rate = self.learning_rate.unwrap_or(recipe.learning_rate);
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        recipe.check().map_err(TrainError::Usage)?;
        Ok(recipe)
    }

    /// Time between checkpoints within an epoch.
    #[must_use]
    pub const fn checkpoint_every(&self) -> Duration {
        Duration::from_secs(self.checkpoint_seconds)
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
