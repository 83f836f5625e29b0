// Command bench measures block servers that run already side by side. scripts/bench calls it.
package main
