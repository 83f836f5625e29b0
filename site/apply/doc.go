// Package apply does what a plan says, step by step, through the API.
//
// Before each step it looks at the cluster again and makes the plan anew. What is left of the plan that somebody has
// seen must all be in it still, as it was; else something has changed that matters, and nothing more is done. What has
// come to be needed since is not done, but told. So it may be interrupted at any time and run again.
package apply
