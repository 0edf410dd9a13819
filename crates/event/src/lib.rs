//! umbra-event
