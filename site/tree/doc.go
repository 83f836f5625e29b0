// Package tree reads a site from a directory of files, normally a checkout of a version control system:
//
//	global/cluster.yaml            what every node shares
//	pservers/NAME/node.yaml        one physical server
//	pservers/NAME/domUs/GUEST.yaml the definition of a guest whose home it is, as `holdfast domain define` reads it
//	vservers/NAME/guest.yaml       one guest: what it is to be, and its volumes
//	vservers/NAME/files/           the guest's own files
//	docs/                          what people have to say of it
//
// All that is read is read strictly: a file or a field that is unknown is an error that names the place, since whoever
// wrote it believes that it is heeded. Only docs/ and files/ hold what they like, README.md may stand anywhere, and a
// name that begins with a dot belongs to other programs. Nothing else is known of version control.
package tree
