// Package plan says what has to be done to a cluster so that it is as a site says. It is pure: a site and what there is
// go in, steps in their order come out, and nothing is read or done.
//
// After a step of a plan was done, the plan that is made of what there is then is the rest of it. So whoever does the
// steps makes the plan anew before each, and knows by that whether anything changed which matters; and a plan that was
// interrupted goes on when it is made again.
//
// Invariant: nothing is planned that ends a guest or destroys data, unless it was allowed by name (Allow) or the site
// asks for the guest to be stopped. What is not allowed is planned as held, and names what would allow it.
package plan
