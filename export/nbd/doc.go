// Package nbd offers a block.Queue over the Network Block Device protocol, and uses such an offer.
//
//	              ┌ reader ─ Submit ─▶ block.Queue ┐
//	client ─────▶ │                               │ Complete
//	       ◀───── └ writer ◀── replies, in bursts ◀┘
//
// The server speaks the fixed newstyle handshake with NBD_OPT_LIST, INFO, GO, EXPORT_NAME,
// STRUCTURED_REPLY and ABORT, and the commands READ, WRITE, FLUSH, TRIM, WRITE_ZEROES and DISC,
// with simple and structured replies. On a unix socket its directory decides who may use it, and there is no TLS
// ([Server.Serve]). Everywhere else a client has to begin TLS (NBD_OPT_STARTTLS, the protocol's mode FORCEDTLS) and to
// show a certificate ([Server.ServeTLS]). Each connection has two goroutines, whatever its queue depth: one reads
// requests and submits them, one writes the replies that have piled up in one system call.
//
// [Client] is the other end: a block.Device over one connection, which can outlive the server.
//
// Invariant: a reply says success only after the queue completed every part of the request.
// Invariant: what one connection has in flight is bounded, in bytes and in requests.
// Invariant: a payload that did not arrive whole is never submitted beyond its complete parts, and
// such a request is never answered.
//
// Invariant: with ServeTLS nothing of the export is told, and nothing that a client says is remembered, before TLS has
// begun and the listener's VerifyConnection has accepted the client.
//
// What is encrypted is written as what is not: whoever completes requests writes their replies, as far as that does
// not wait. crypto/tls writes to a buffer for that, which goes to the socket (sealer, carrier).
//
// NBD_FLAG_CAN_MULTI_CONN is advertised: all connections feed one queue and nothing is cached here,
// so a flush on any of them covers every write that any of them was answered, and every connection
// reads what any of them wrote.
package nbd
