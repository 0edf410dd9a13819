//! umbra-publish
