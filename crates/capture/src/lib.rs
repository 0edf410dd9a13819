//! umbra-capture
