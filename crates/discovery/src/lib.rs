//! umbra-discovery
