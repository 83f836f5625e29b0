// Package credential is the text form of the two secrets that people carry around: the token with which
// a machine joins a cluster, and the token with which a program calls the API from afar.
//
// A token is made where it is used first, and the cluster learns only its id and the hash of its secret.
// Both forms begin with a word that says what they are and end with a checksum, so that one that was
// copied in part is told from one that is wrong.
package credential
