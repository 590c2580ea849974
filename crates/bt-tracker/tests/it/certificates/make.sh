#!/bin/sh
# Makes the certificates of this folder anew: a root, and servers that are right, expired, for
# another host, and signed by nobody. Valid for a hundred years, except the expired one.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
touch "$scratch/index"
cat >"$scratch/ca.conf" <<END
[ca]
default_ca = root
[root]
database = $scratch/index
new_certs_dir = $scratch
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
END
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
leaf() { # name, subject alternative names, first and last day
    key "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=$1" -addext "subjectAltName=$2" -out "$scratch/request"
    openssl ca -batch -notext -config "$scratch/ca.conf" -cert root.pem -keyfile "$scratch/root.key" \
        -startdate "$3" -enddate "$4" -in "$scratch/request" -out "$1.pem"
}
key "$scratch/root.key"
openssl req -x509 -new -key "$scratch/root.key" -subj "/CN=Test root" -days 36500 -out root.pem
leaf good "DNS:localhost,DNS:tracker.test,IP:127.0.0.1,IP:::1" 20200101000000Z 21200101000000Z
leaf other "DNS:other.test" 20200101000000Z 21200101000000Z
leaf expired "DNS:tracker.test" 20200101000000Z 20200201000000Z
key selfsigned.key
openssl req -x509 -new -key selfsigned.key -subj "/CN=tracker.test" -days 36500 \
    -addext "subjectAltName=DNS:tracker.test" -out selfsigned.pem
chmod 644 ./*.key
