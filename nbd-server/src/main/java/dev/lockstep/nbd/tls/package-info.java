/// TLS for both ends of a connection: what to show, whom to believe, and who may come in.
///
/// - [dev.lockstep.nbd.tls.TlsCredentials] are certificates or pre-shared keys, in folders laid out
///   as those of QEMU and nbdkit. They are read at first use, and again when their files change.
/// - [dev.lockstep.nbd.tls.ServerTls] and [dev.lockstep.nbd.tls.ClientTls] say what one end does
///   with them; [dev.lockstep.nbd.tls.TlsAuthorization] says which identities a server lets in.
/// - Either kind of credentials makes an `SSLEngine`, which turns bytes into bytes and knows no
///   socket. For certificates it is the JDK's. The JDK has no pre-shared keys, so those come from
///   Bouncy Castle's protocol engine behind the same interface, with the JDK's ciphers below it.
/// - An event loop drives the engine in its pipeline; a blocking socket is wrapped in a
///   [dev.lockstep.nbd.tls.TlsChannel].
///
/// TLS 1.3 and 1.2 are spoken. NBD begins TLS with the option STARTTLS, which is the business of
/// the packages above; the monitor speaks TLS from the first byte.
@NullMarked
package dev.lockstep.nbd.tls;

import org.jspecify.annotations.NullMarked;
