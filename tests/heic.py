"""A HEIC photo of 64 x 48 pixels in four colours, in each orientation; the library that reads them writes none."""

from __future__ import annotations

import base64
import zlib

import numpy as np

__all__ = ["FOUR_COLOURS", "heic"]

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 180, 30), (30, 30, 200), (240, 240, 240)
FOUR_COLOURS = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8).repeat(24, 0).repeat(32, 1)

_TURNED = (
    "c-muNV30{GsVvAy&8%Pmg51nBLl8SRGck>Uf$?N+YDppk1Sn>t<P<^K3<a6VB@Af5Br_*J8N_gLU|?ck1hE+3LTDh^3lsward4ne6(F|A%*;yz"
    "^FXqqKu#)H8Bk3|S+XGmk{}~UiEBkBSUF!oW=SpsR3#%vW<gN_ko`QfAUPjMmjm@WGqP|1ne!|_isU{p{Q3Xm2Ll5?a{^F@xC0{(<NyC41<YU-"
    "%s?f(m>d#;a#~J|jHnV5SOgR{-Hn-Y-JFq^jRho@0wP!xl7PxNTo?})OBirW0NNs)oS##amz+}p6z64NYXAy~WEK~sLjCIi#Tv;ui3LzLC@c)1"
    "G&mIg|Ns918X5uxnH8BJL1qpPkXJY}i}Fi=4q}kZEXak$3L^s}TO$)QYfBrDBb8Z{ng*5NOHL_H2FC-)?3cMIiJ%DEslm9O^MSI3`~Q2}<o~>u"
    "lGn`p7<zxoz5lxmb|1_Af7f=(Pye*C#3y<6tDOH!$h~d;qr?6GY3lSRNv*!FispuG8;S%z&XaIC@U_$;Yvo1V0tM!Sp*I|~wtY}-W0F4o=91aG"
    "_nQAxs~57(y7}Rm_YLOV4GBMVXP>ECv5Hgdiq|WHn;E-BCBkyu5~l=oukn|aU$FNfhwYWJFIKDPrJr4u7cR)qct4--a_O^wSreze`0P@=eorOy"
    "qr*o*;mZbzeP3S&Eg+ABfss)N6hS}_vO)X|0AKpEtp"
)

_MIRRORED = (
    "c-muNV30{GsVvAy&8%Pmg51nBLl8SRGck>Uf$?%~YDppk1Sn>t<P<^K3<a6VB@Af5Br_*J8N_gLU|?ck1hE*uLueq_3lswarY&$06(F|A%*;yz"
    "^FXqqKu#)H8Bk3|S+XGmk{}~UiEBkBSUF!oW=SpsR3)QOW<gN_ko_UEAUPjMmjm@WGqP|1ne!|_isU{p{Q3Xm2Ll5?a{^F@xC0{(<NyC41<YU-"
    "%s?f(m>d#;a#~J|jHnV5SOgR{-Hn-Y-JFq^jRho@0wP!xl7PxNTo?})OBirW0NNs)oS##amz+}p6z64NYXAy~WEK~sLjCIi#Tv;ui3LzLC@c)1"
    "G&mIg|Ns918X5uxnH8BJL1qpPkXJY}i}FjD!HnEYa7;*L7UaUBhmnDiy^)ETwWX~cEK`)429@DUPAN_X#|X%lm$@m4ps3ra!ML9DfwG1B|9jiy"
    "|Gbux*UbAEdVk8j|GNx!AItrJ*LKQJ|Fp8iCwcX&oc~M6y>0%Z!~Oqh>hvc`t-h{`=7wz>iUdB+lW;lkwbUYO<we~B1?GdHHypIKeNb&<l0N<B"
    "lG(iXn*UR)7qZQ|`Qe%O4d&eq2|sjapQ&51ic{>0*DHgY8M{R#!gAdbrv!Ab@t2ifu=gQ{?Uk}GR;%ZwpIwy~F38Y$KcDY%>9c=X6Q{oT>{7gb"
    "PbKrC!$(0O%?3#azP=1vKpqDJBcl)~s(>D3hxi!)BY(Cc"
)

# EXIF orientation -> (file, angle in quarter turns, axis of the mirror)
_WAYS = {
    1: (_TURNED, 0, None),
    2: (_MIRRORED, 0, 1),
    3: (_TURNED, 2, None),
    4: (_MIRRORED, 0, 0),
    5: (_MIRRORED, 3, 1),
    6: (_TURNED, 3, None),
    7: (_MIRRORED, 3, 0),
    8: (_TURNED, 1, None),
}


def heic(orientation: int = 1) -> bytes:
    """Return ``FOUR_COLOURS`` as an iPhone would write it, held in one of eight ways."""
    text, angle, axis = _WAYS[orientation]
    data = bytearray(zlib.decompress(base64.b85decode(text)))
    data[data.index(b"irot") + 4] = angle
    if axis is not None:
        data[data.index(b"imir") + 4] = axis
    return bytes(data)
