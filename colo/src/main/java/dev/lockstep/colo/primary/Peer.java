package dev.lockstep.colo.primary;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.NbdUri;

/// Where a secondary is.
///
/// @param target its `--listen`, with the pair's name as the export
/// @param monitor its `--monitor`, over which it is driven
public record Peer(NbdUri target, Address monitor) {}
