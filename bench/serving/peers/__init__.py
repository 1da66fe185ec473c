"""One class for each server."""

from collections.abc import Mapping

from bench.serving.peers.own import Kizashi
from bench.serving.peers.peer import Peer
from bench.serving.peers.plain import BareAsgi, EmptyFastapi, EmptyFastapiOnnx, FastapiNumpy

OURS = Kizashi.name
PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (Kizashi(), BareAsgi(), EmptyFastapi(), EmptyFastapiOnnx(), FastapiNumpy())
}
