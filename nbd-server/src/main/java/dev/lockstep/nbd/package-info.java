/// The NBD protocol itself, without sockets.
///
/// - [dev.lockstep.nbd.NbdProtocol] holds every number of the protocol, and
///   [dev.lockstep.nbd.NbdErrors] translates between the wire's errors and those of block devices.
/// - Options and the replies to them are sealed records, each with its codec beside it.
/// - [dev.lockstep.nbd.Export] is a block device under a name; [dev.lockstep.nbd.Exports] says
///   which there are.
/// - The negotiation is a table of states and a pure function `step(state, message) -> (state,
///   replies)`: it can be tested, and simulated, without a socket.
///
/// The server is `dev.lockstep.nbd.server`, the client `dev.lockstep.nbd.client`; both speak
/// through this package.
@NullMarked
package dev.lockstep.nbd;

import org.jspecify.annotations.NullMarked;
