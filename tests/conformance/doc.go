// Package conformance runs the whole of libiscsi's iscsi-test-cu against a real `holdfast target`, each
// test alone, in three settings:
//
//	thin       a thin LUN
//	protected  a write-protected LUN; tests that must write cannot pass there, so all but those of
//	           write protection run without --dataloss
//	paths      two portals to one LUN, whose medium is removable
//
// It fails on a test that fails or hangs in any setting, on a test that is skipped in every one and
// not named with its reason in docs/conformance.md, and on one that is named there and is not.
package conformance
