// Package static serves a fixed list of iSCSI targets: the stand-alone server, without a cluster.
//
//	Serve ─▶ target.Server ─▶ Admission (a map of names) ─▶ logical units of the caller
//
// Everyone who proves the target's CHAP secret, or anyone if it has none, may log in, any number of
// times under different ISIDs. There is no fence and no epoch here: whoever needs those uses another
// Admission.
package static
