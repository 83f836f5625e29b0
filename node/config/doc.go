// Package config is node.yaml: what one node is, before it has spoken to anybody. It is read once
// at the start of the daemon; nothing in it changes while the node runs.
//
// Reading is strict: an unknown or repeated field is an error with its line, since a misspelt
// safety setting that is passed over is worse than a daemon that does not start. All faults are
// reported together.
//
// Example:
//
//	name: n1
//	id: 0b0c5f6e-5a0e-4c5e-9a52-0d8f3c1f6d01
//	cluster: {name: prod, id: 4f2c…, incarnation: 4f2c…}
//	roles: [coordinator, storage, host]
//	data_dir: /var/lib/holdfast
//	run_dir: /run/holdfast
//	listen: {api: 10.0.0.1:7443, raft: 10.0.0.1:7444, iscsi: 10.0.1.1:3260}
//	networks: {storage: 10.0.1.0/24}
//	api_socket: /run/holdfast/api.sock
//	tls: {ca: /etc/holdfast/ca.pem, cert: /etc/holdfast/node.pem, key: /etc/holdfast/node.key}
//	stores: [{name: nvme0, path: /srv/holdfast/nvme0}]
//	location: {zone: a, rack: r1}
//	coordinators: [{id: 0b0c…, name: n1, api: 10.0.0.1:7443, raft: 10.0.0.1:7444}]
package config
