//! What an agent does, message by message.
