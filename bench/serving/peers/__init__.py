"""One class for each server."""

from collections.abc import Mapping

from bench.serving.peers.own import Kizashi, KizashiWithoutHistory
from bench.serving.peers.peer import Peer
from bench.serving.peers.plain import BareAsgi, EmptyFastapi, EmptyFastapiOnnx, FastapiNumpy
from bench.serving.peers.served import BentoML, LitServe, MlflowServe, MLServer

OURS = Kizashi.name
EVERY: tuple[Peer, ...] = (
    *(Kizashi(), KizashiWithoutHistory()),
    *(BareAsgi(), EmptyFastapi(), EmptyFastapiOnnx(), FastapiNumpy()),
    *(MLServer(), MlflowServe(), LitServe(), BentoML()),
)
PEERS: Mapping[str, Peer] = {peer.name: peer for peer in EVERY}
