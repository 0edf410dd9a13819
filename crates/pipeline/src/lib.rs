//! umbra-pipeline
