//! The edge without sockets.
