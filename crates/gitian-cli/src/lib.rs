//! All talking to the user.
