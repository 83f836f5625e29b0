// Package parity is the arithmetic of the layout parity=k+m, pure: where the bytes of a volume lie on its legs,
// and how parity is made and what was lost is made from it. It does no I/O and knows no protocol; how an update
// of several legs stays whole is the engine's matter (docs/safety).
//
// # Places
//
// A volume is cut into stripes of k chunks. A stripe has m chunks of parity more, and its k+m chunks lie on one
// leg each, all at the same offset: stripe s is bytes [s·chunk, (s+1)·chunk) of every leg. Chunks 0 to k-1 are
// data, in the order of the volume; k to k+m-1 are parity. With n = k+m legs, chunk c of stripe s lies on the leg
// of slot
//
//	(c + n - (s·m mod n)) mod n
//
// so that each stripe moves on by m slots. Parity, which every write to its stripe writes, thus falls on each leg
// equally often, and as the volume is read in order the next chunk is always on the next leg, also from one
// stripe to the next: a leg is passed over only where parity lies on it. For parity=2+1 and 4+2 (D data, P Q
// parity, by slot):
//
//	stripe 0:  D0 D1 P            D0 D1 D2 D3 P  Q
//	stripe 1:  D3 P  D2           D6 D7 P  Q  D4 D5
//	stripe 2:  P  D4 D5           P  Q  D8 D9 D10 D11
//
// # Parity
//
// Arithmetic is that of GF(2⁸) with the polynomial x⁸+x⁴+x³+x²+1 (11Dh), byte by byte. Parity j is the sum over
// the data chunks d of 2^(j·d) times the chunk: the exclusive or of all for j = 0, and for j = 1 what RAID-6 calls
// Q. Any k of the k+m chunks give the others: the determinants that matter are those of Vandermonde matrices
// with the distinct values 2^d.
//
// It is linear: if a chunk d changes by Δ = old ⊕ new, parity j changes by 2^(j·d)·Δ, whatever the other chunks
// hold, and changes may be added in any order, each once.
//
// Both are for ever: they are what is on disks.
package parity
