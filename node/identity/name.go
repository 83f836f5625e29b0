package identity

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

const uriScheme = "holdfast"

// nodeURI is the name of a node in its certificate.
func nodeURI(cluster volume.ClusterID, node volume.NodeID) *url.URL {
	return &url.URL{Scheme: uriScheme, Host: cluster.String(), Path: "/node/" + node.String()}
}

// NodeOf returns the cluster and node that a certificate names. It refuses one without exactly one
// such name. It does not verify who signed it.
func NodeOf(cert *x509.Certificate) (volume.ClusterID, volume.NodeID, error) {
	cluster, node, err := nodeOf(cert.URIs)
	if err != nil {
		return cluster, node, fmt.Errorf("certificate of %q: %w", cert.Subject.CommonName, err)
	}
	return cluster, node, nil
}

func nodeOf(uris []*url.URL) (volume.ClusterID, volume.NodeID, error) {
	var cluster volume.ClusterID
	var node volume.NodeID
	found := 0
	for _, uri := range uris {
		if uri.Scheme != uriScheme {
			continue
		}
		text, isNode := strings.CutPrefix(uri.Path, "/node/")
		clusterID, errCluster := volume.ParseUUID(uri.Host)
		nodeID, errNode := volume.ParseUUID(text)
		if !isNode || errCluster != nil || errNode != nil || nodeURI(volume.ClusterID{UUID: clusterID},
			volume.NodeID{UUID: nodeID}).String() != uri.String() {
			return cluster, node, fmt.Errorf("%q is no node's name", uri)
		}
		cluster, node = volume.ClusterID{UUID: clusterID}, volume.NodeID{UUID: nodeID}
		found++
	}
	if found != 1 {
		return volume.ClusterID{}, volume.NodeID{},
			fmt.Errorf("it names %d nodes, want one URI holdfast://CLUSTER/node/ID", found)
	}
	return cluster, node, nil
}
