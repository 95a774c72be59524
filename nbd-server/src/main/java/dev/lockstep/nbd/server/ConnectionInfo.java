package dev.lockstep.nbd.server;

/// A client as a listing shows it.
///
/// @param peer its address, or where it connected to if it has none
/// @param export the name of the export it uses; empty during the handshake
public record ConnectionInfo(String peer, String export) {}
