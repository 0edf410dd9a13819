//! umbra-testkit
