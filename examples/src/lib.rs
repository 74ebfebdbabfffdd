//! Ready homes (YAML) and runnable stories for Gable.
